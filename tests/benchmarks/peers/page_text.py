"""What docs/results-peers.md says around its tables: what is compared, and what is not."""

from __future__ import annotations

from arms import DEPLOYED, ONE

HEAD = """\
# The cost of a round beside others'

`python tests/benchmarks/peers/__main__.py` installs Flower and NVFlare into environments of their
own and runs the same neutral work in all of them: resnet18 with 2 classes (11.2 M numbers in 122
arrays, 44.75 MB), parties that return a perturbed model at once, FedAvg: all is overhead. A run
counts if every party has answered in every round, which the peers' own strategies are made to
check, and if the model's counter says that all rounds were done.

- Seconds per round: median of the rounds after the first {warm_up} of a run. A round ends when the
  next begins, so it holds whatever a system does between two.
- CPU seconds per round: all processes of the run together, those that have ended, too.
- Start: from the start of the processes to the end of the first round.
- Combining: the peak of the process in which models are combined; largest: that of the largest
  process of the run, which may be the same.

All are medians over the runs (repeats: {repeats}, rounds: {rounds}), which are taken in turn;
ratios are of medians of this one comparison. Parties and servers share one machine. The peers'
clients are numpy here and do not import torch, which spares each of their processes the import;
fedcore's parties import it. Everything listens on 127.0.0.1 alone, and nobody reports to anybody
outside.

NVFlare's client without a task asks again after 2 s, and its server looks every 0.5 s whether all
have answered; these are its defaults. `eager` sets both to 0.1 s. NVFlare writes every round's
model to its disk, here in numpy's format. Its clients send their metrics together with their
update, so there is no second exchange for scores. Both peers make floats of the counters.

"""
ONE_PROCESS = """\
## In one process

Flower's simulation (`run_simulation`, Ray, as many actors as cores), NVFlare's simulator (a
process for each client, all at the same time, its default), and fedcore's `fedcore.simulation` over
an exchange in memory or in a folder, which need not survive a power cut (`flushed`: which does). In
fedcore the loop over batches and the pass over the images
are replaced, and nothing else: every message is signed, every model hashed and written once, every
ledger kept.

`Flower, training alone` sends no model to be evaluated; `Flower` evaluates each round's model at
every client, its default and what fedcore does, too. Ratios are to `Flower`.

"""
FROM_DEPLOYED = """\

## Deployed

A server and a process or more for each party, as each project describes it for one machine:

- `NVFlare POC`: `nvflare poc prepare` and `nvflare poc start`, then the job is handed in by the
  administrator's session. Mutual TLS. The script runs in the client's job process, which stays for
  all rounds.
- `Flower`: `flower-superlink` (state in memory), a `flower-supernode` for each party, `flwr run`.
  No TLS. By default it starts a process for each message, so for each client one for training and
  one for evaluation in each round; `Flower, training alone` sends no model to be evaluated. Runtime
  installation of the app's dependencies is switched off: there are none.
- `fedcore`: Prefect server and party sessions, a SeaweedFS exchange, an MLflow server; updates in
  the codec that is named, and *both ways* models as steps by it, too. Every message is signed, and
  every round's model scored by every party.

Start: from the start of the first process; keys, certificates and the like are there before.
Handed in: from the moment when all servers and clients stand and the training is handed in to the
end of the first round; NVFlare's job processes, Flower's apps and fedcore's party sessions start
after that.

"""
TEXT = {ONE: ONE_PROCESS, DEPLOYED: FROM_DEPLOYED}
