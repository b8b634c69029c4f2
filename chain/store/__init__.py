"""The site's database: one SQLite file that holds log, payloads and their indexes under one commit."""
