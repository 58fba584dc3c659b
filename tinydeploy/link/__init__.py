"""The link to a device: frames, the byte streams that carry them, and the device's side as typed methods.

docs/protocol.md describes the protocol; firmware_templates/runtime/session.cpp is its other side.
"""
