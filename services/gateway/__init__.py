"""The public gRPC edge."""
