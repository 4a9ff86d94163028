"""The plugin of a server under test: the fake model, and tasks whose processes end at once."""

from tests.server.fakes import fake_model
from zeus_app.server.jobs import task_processes

MODELS = fake_model.MODELS
task_processes.WORKER = "tests.fuzz.quick_worker"
