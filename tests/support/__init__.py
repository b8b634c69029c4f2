"""Builders that several rooms' tests share: real keys, real events and seals, a real gateway."""
