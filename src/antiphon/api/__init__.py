"""HTTP and JSON: the only layer that knows field names, status codes and how an answer is spelled."""
