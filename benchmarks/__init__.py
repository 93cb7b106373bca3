"""What Keyturn costs, as ratios measured side by side. ``make bench`` runs all of it; see `__main__`."""
