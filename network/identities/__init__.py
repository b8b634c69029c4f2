"""Who the organisations and their nodes are: authorities, certificates, MSP folders, requests to an external CA."""
