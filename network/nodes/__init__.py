"""The nodes: their settings and packages, how they are started, as processes or in containers, and their health."""
