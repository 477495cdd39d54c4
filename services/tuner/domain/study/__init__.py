"""Ask and tell: what to try next of something that only others can try.

A study is a space, its objectives and a record of trials; nothing else is remembered, so that any
process answers from what a store holds. What a service needs without numpy:

- `space.space`: `Space` with its `Float`, `Integer`, `Choice` (each may have a `Condition`) and
  constraints, of which `Expression("depth * leaves <= 64")` is the general one; `Space.flaws()`
  says what is wrong with a space, `Space.problems(configuration)` what is wrong with given
  parameters; `Space.key(configuration)` is the same for equal ones, `Space.completed` fills in
  defaults.
- `objective`: `Objective(name, direction)`, `objective_flaws`.
- `records`: `TrialRecord`, `TrialState`, `record_problems`, `best_of`.
- `front`: `pareto_front(records, objectives)`.
- `pruning`: `Pruning(pruner, ...)`, `should_prune(records, trial, step, pruning, objective)`.
- `samplers`: `Sampler`, `sampler_flaws`.

What takes time, and numpy, and is for a worker process:

- `suggesting`: `suggest(space, objectives, records, pending, sampler, seed, count)`, and
  `warmed()` to compile before the first call.
"""
