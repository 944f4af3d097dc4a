"""KnowledgeEditor (De Cao et al., EMNLP 2021): a hypernetwork that reads the request."""
