"""The contract `coldchain`: policies, shipments under them, condition reports, excursions and quarantine."""
