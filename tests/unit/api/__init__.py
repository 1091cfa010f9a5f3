"""The HTTP surface, over a scripted service and, where bytes matter, over real sockets."""
