"""What a number means: test protocols, error measures, matching, true bodies, scoring."""
