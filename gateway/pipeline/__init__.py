"""From a door to the disk: admit, prepare, commit a whole batch at once, acknowledge."""
