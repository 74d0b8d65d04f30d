"""Lock-step or epochs: what the primary decides from what it measures.

In **lock-step** the secondary's VM runs, and an answer goes out when it says the same. In **epochs** it
rests, and an answer goes out with the commit of the next checkpoint. Where the copies agree, lock-step
answers sooner; where they do not, each answer costs a checkpoint and a load, and epochs give the same with
less. Whether they would agree can only be seen in lock-step, so it is tried again now and then, less and less
often while it does not pay.

1. `figures.py`: what is measured over the last seconds, and the limits;
2. `table.py`: the states, and what each finding means in each;
3. `machine.py`: the machine, with the waits between two tries;
4. `pace.py`: how often checkpoints come in epochs;
5. `output.py`: which of what waits asks for one;
6. `account.py`: all of it in words.
"""
