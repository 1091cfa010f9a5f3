"""What each path does: decode, ask a service, encode. No policy and no field names beyond that."""
