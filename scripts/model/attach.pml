/* Tabs that attach, and a termination (packages/clients): C1. Attach registers first and checks the store
   after; terminate writes the store, closes here, then publishes. The bus may lose what is published; each
   process looks now and then whether the sessions of its tabs are over.

   Every MUTANT_... is a fault that the assertion must find. */
#define PROCESSES 2
#define TABS 2                      /* one that attaches at each process */
#define LOOKS 1                     /* a look for each process that is sure to come after everything */

mtype = { absent, registered, live, closed };

mtype tab[TABS];
bool isOver;                        /* in the store */
bool isTold[PROCESSES];             /* what is on its way to a process */
bool isDone[TABS];
bool hasTerminated;

/* Ends the tabs of a process that are known to it. */
inline closeAt(p) {
  if
#ifdef MUTANT_FORGETS_REGISTERED
  :: tab[p] == live -> tab[p] = closed
#else
  :: tab[p] == live || tab[p] == registered -> tab[p] = closed
#endif
  :: else
  fi
}

proctype attach(byte p) {
  bool wasOver;
#ifdef MUTANT_CHECKS_FIRST
  wasOver = isOver;
  tab[p] = registered;
#else
  tab[p] = registered;
  wasOver = isOver;                 /* the answer of the store, as it was when it read it */
#endif
  atomic {
    if
    :: wasOver -> tab[p] = closed
#ifdef MUTANT_OVERWRITES_CLOSED
    :: !wasOver -> tab[p] = live
#else
    :: !wasOver && tab[p] == registered -> tab[p] = live
    :: !wasOver && tab[p] != registered
#endif
    fi
  };
  isDone[p] = true
}

proctype terminate(byte p) {
  byte other = 1 - p;
#ifdef MUTANT_PUBLISHES_FIRST
  if :: isTold[other] = true :: skip fi;
  isOver = true;
  closeAt(p);
#endif
#ifdef MUTANT_CLOSES_FIRST
  closeAt(p);
  isOver = true;
  if :: isTold[other] = true :: skip fi;
#endif
#ifdef MUTANT_CLOSES_NOTHING_HERE
  isOver = true;
  if :: isTold[other] = true :: skip fi;
#endif
#ifndef MUTANT_PUBLISHES_FIRST
#ifndef MUTANT_CLOSES_FIRST
#ifndef MUTANT_CLOSES_NOTHING_HERE
  isOver = true;
  closeAt(p);
  if
  :: isTold[other] = true
#ifdef LOSES
  :: skip                           /* lost: the process finds out by its next look */
#endif
  fi;
#endif
#endif
#endif
  hasTerminated = true
}

/* What is published reaches a process once, at any time after. */
proctype receive(byte p) {
  if
  :: atomic { isTold[p] -> closeAt(p); isTold[p] = false }
  :: hasTerminated && !isTold[p]
  fi
}

#ifndef MUTANT_NEVER_LOOKS
#define LOOK(p) if :: isOver && tab[p] == live -> tab[p] = closed :: else fi
#else
#define LOOK(p) skip
#endif

init {
  atomic {
    tab[0] = absent;
    tab[1] = absent;
    run attach(0);
    run attach(1);
    run receive(0);
    run receive(1);
    if :: run terminate(0) :: run terminate(1) fi
  };
  isDone[0] && isDone[1] && hasTerminated && !isTold[0] && !isTold[1];
#ifdef LOSES
  LOOK(0);
  LOOK(1);
#endif
  assert(tab[0] != live && tab[1] != live)      /* C1: no order leaks a live listener */
}
