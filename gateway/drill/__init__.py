"""The drill: alters copies of a real site in every way we know, and sees whether the checks find it."""
