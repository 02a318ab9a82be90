"""Photos over HTTP: the classifier as a service and its page. FastAPI is imported by `serve.app` alone."""
