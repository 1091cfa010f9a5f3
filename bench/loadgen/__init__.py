"""A load generator light enough to share its cores with the server it measures."""
