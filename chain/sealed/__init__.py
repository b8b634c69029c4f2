"""Commands over sealed objects: seal, open, inspect, grant. What they do is crypto.envelope's."""
