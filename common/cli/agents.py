"""`aimass agents`: the worker agents."""

import typer

from aimass.trainer.v1 import trainer_pb2
from common.cli import text
from common.cli.context import context_of

app = typer.Typer(help="Worker agents.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the agents that are connected, with what they are doing."""
    cli = context_of(context)
    found = cli.clients.training.ListAgents(trainer_pb2.ListAgentsRequest()).agents
    if cli.as_json:
        cli.print_json(found)
        return
    rows = [
        (
            agent.id,
            agent.host,
            str(agent.pid),
            str(agent.slots),
            ", ".join(agent.devices) or "cpu",
            agent.training_run or "idle",
            text.moment(agent.last_heartbeat),
        )
        for agent in found
    ]
    cli.print_table(("id", "host", ">pid", ">slots", "devices", "works for", "last heard"), rows)


@app.callback()
def group() -> None:
    """Keeps `list` a subcommand although it is the only one."""
