"""The network and what is measured of it. Imports neither stores nor pipeline, opens no data."""
