"""Those who write rationales and knowledge: endpoints, models on this machine, files, scripts."""
