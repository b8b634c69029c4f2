"""Sealed objects: files that exactly their recipients open, streamed, with their sender's signature.

File objects in, file objects out. What is read is untrusted. An object is opened chunk by chunk, and only its end tells
that it is whole: what was written until then is to be thrown away where an error comes (crypto.envelope.files does so).
"""
