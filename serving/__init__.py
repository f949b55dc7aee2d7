"""Serving an exported model with TensorFlow Serving: the client, and a stand-in for the server."""
