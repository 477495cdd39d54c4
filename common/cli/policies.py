"""`aimass policies`: keep the best model of a data set behind an alias."""

from typing import Annotated

import typer
from google.protobuf import field_mask_pb2

from aimass.tuner.v1 import policy_pb2, tuner_pb2
from common.cli import text
from common.cli.context import CliContext, context_of
from common.cli.policy_views import decision_rows, show_decision, show_policy, triggers_line

app = typer.Typer(
    help="Policies that search anew when data change, and move an alias where the gain is clear.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="`tuningPolicies/<id>`, or the id.")]
_MOST = 1000


@app.command()
def create(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Data set to watch, for example iris.")],
    name: Annotated[str, typer.Option(help="Id of the policy. Default: made by the server.")] = "",
    metric: Annotated[str, typer.Option(help="What is made best. Default: the usual one.")] = "",
    budget: Annotated[
        float | None, typer.Option(min=5, help="Seconds of each search. Default: 600.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model to keep. Default: as the data set.")] = "",
    alias: Annotated[str, typer.Option(help="Alias to move. Default: champion.")] = "",
    drift: Annotated[
        float | None, typer.Option(help="Search where a column moved by more; 0.25 is much.")
    ] = None,
    feedback: Annotated[
        int | None, typer.Option(min=1, help="Search once so many rows got true labels.")
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Begin nothing by itself yet.")] = False,
) -> None:
    """Watch a data set. Without --drift and --feedback each new version starts a search.

    For anything else that a search takes write a file and use `aimass apply`.
    """
    cli = context_of(context)
    spec = tuner_pb2.TuningSpec(metric=metric, model=_in("models", model))
    if budget is not None:
        spec.budget.FromMilliseconds(round(budget * 1000))
    policy = policy_pb2.TuningPolicy(
        dataset=_in("datasets", dataset),
        spec=spec,
        triggers=policy_pb2.PolicyTriggers(drift=drift, feedback_rows=feedback),
        alias=alias,
        paused=paused,
    )
    request = policy_pb2.CreateTuningPolicyRequest(tuning_policy=policy, tuning_policy_id=name)
    _show(cli, cli.clients.policies.CreateTuningPolicy(request))


@app.command("list")
def list_(context: typer.Context) -> None:
    """List policies, newest first."""
    cli = context_of(context)
    request = policy_pb2.ListTuningPoliciesRequest(page_size=_MOST)
    found = cli.clients.policies.ListTuningPolicies(request).tuning_policies
    if cli.as_json:
        cli.print_json(found)
        return
    rows = [
        (each.name, each.dataset, triggers_line(each), "paused" if each.paused else "")
        for each in found
    ]
    cli.print_table(("name", "data set", "searches", ""), rows)


@app.command()
def show(context: typer.Context, name: Name) -> None:
    """Show a policy: what starts a search, where it stands."""
    cli = context_of(context)
    request = policy_pb2.GetTuningPolicyRequest(name=_in("tuningPolicies", name))
    _show(cli, cli.clients.policies.GetTuningPolicy(request))


@app.command()
def decisions(
    context: typer.Context,
    name: Name,
    most: Annotated[int, typer.Option(min=1, max=_MOST, help="At most this many.")] = 20,
) -> None:
    """List what a policy has decided, newest first, and why."""
    cli = context_of(context)
    request = policy_pb2.ListTuningDecisionsRequest(
        parent=_in("tuningPolicies", name), page_size=most
    )
    found = cli.clients.policies.ListTuningDecisions(request).tuning_decisions
    if cli.as_json:
        cli.print_json(found)
        return
    cli.print_table(("decision", "outcome", "data", ">gain", "when", "why"), decision_rows(found))


@app.command()
def run(
    context: typer.Context,
    name: Name,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would do by itself now.")
    ] = False,
) -> None:
    """Search now, whether or not anything has changed."""
    cli = context_of(context)
    request = policy_pb2.RunTuningPolicyRequest(name=_in("tuningPolicies", name), dry_run=dry_run)
    decision = cli.clients.policies.RunTuningPolicy(request)
    if cli.as_json:
        cli.print_json([decision])
        return
    show_decision(decision, cli.console)


@app.command()
def pause(context: typer.Context, name: Name) -> None:
    """Begin no search by itself; one under way goes on."""
    _set_paused(context_of(context), name, True)


@app.command()
def resume(context: typer.Context, name: Name) -> None:
    """Go on with a policy that is paused."""
    _set_paused(context_of(context), name, False)


@app.command()
def delete(context: typer.Context, name: Name) -> None:
    """Delete a policy with its decisions; searches and models stay."""
    cli = context_of(context)
    full = _in("tuningPolicies", name)
    cli.clients.policies.DeleteTuningPolicy(policy_pb2.DeleteTuningPolicyRequest(name=full))
    cli.console.print(f"{text.harmless(full)} was deleted", markup=False)


def _set_paused(cli: CliContext, name: str, is_paused: bool) -> None:
    request = policy_pb2.UpdateTuningPolicyRequest(
        tuning_policy=policy_pb2.TuningPolicy(name=_in("tuningPolicies", name), paused=is_paused),
        update_mask=field_mask_pb2.FieldMask(paths=["paused"]),
    )
    _show(cli, cli.clients.policies.UpdateTuningPolicy(request))


def _show(cli: CliContext, policy: policy_pb2.TuningPolicy) -> None:
    if cli.as_json:
        cli.print_json([policy])
        return
    show_policy(policy, cli.console)


def _in(collection: str, name: str) -> str:
    """Returns a resource name, of an id alone that in its collection."""
    return name if not name or "/" in name else f"{collection}/{name}"
