"""What a party does with its own images: train for one round, and score a model.

The same task file, data, seed, machine type and number of threads give the same bits, in whatever
process. One network is built by the caller and handed in again every round. Nothing is imported
here, so that the plan and the schedule can be used where torch is not installed.
"""
