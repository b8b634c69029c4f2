"""The edge: devices, ingest, preprocessing, the pipeline, the REST interface and the pages."""
