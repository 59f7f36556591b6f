"""The studio: pages over the service's own jobs. Templates and small web components; what they do, jobs and api do."""
