"""The program measured, and what it is measured against, side by side in one run. Nothing here is installed."""
