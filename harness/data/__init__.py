"""Samples, the dataset protocol, splits and fingerprints, the packed image store, the phantom."""
