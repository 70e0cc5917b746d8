"""Learning the detector of proposals: `featx train --task proposals`."""
