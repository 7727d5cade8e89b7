"""Machine annotators: protocols, providers, replies, results, controls, report."""
