"""The sentences of the consumer page, a catalogue for each language. Every catalogue has the same names."""
