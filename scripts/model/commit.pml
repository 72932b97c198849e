/* One session, and clients who change it through a store's commit and destroy (packages/session/src/store.ts).
   It is born at key 0; each renewal has a key of its own. An answer may be lost after the command was
   carried out, and the command comes again. Each command is one atomic step, as in a script of Redis,
   a statement of PostgreSQL, or the memory store.

   -DCLIENTS=n, -DRESENDS=n. -DTRACE prints each command and its answer, for a replay. Every MUTANT_... is
   a fault that the assertions must find. */
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef RESENDS
#define RESENDS 1
#endif
#define TRIES 2                     /* operations of a client by its first key, and by its second */
#define KEYS (1 + 2 * CLIENTS)
#define OPERATIONS (1 + 4 * CLIENTS)

mtype = { nothing, record, marker };            /* under a key */
mtype = { create, set, update, renew, login, destroy };
mtype = { saved, gone, renewed, conflict, none, taken };

mtype at[KEYS];
byte next[KEYS];
bool barred[KEYS];
bool isRemembered[OPERATIONS];
byte applied[OPERATIONS];
byte count;                         /* the value that update counts */
byte counted;                       /* updates that were acknowledged */
byte user;                          /* who is signed in: 0, or 1 + the client's number */
byte endedBy;                       /* the operation that ended it */
bool isEndKnown;                    /* a destroy was acknowledged */
byte done;

inline follow(k) {
  f = k;
  do
  :: at[f] == marker -> f = next[f]
  :: else -> break
  od
}

inline look() {
  living = 0;
  f = 0;
  do
  :: f < KEYS -> if :: at[f] == record -> living++ :: else fi; f++
  :: else -> break
  od;
  assert(living <= 1);                          /* S7: one live key */
  assert(!(isEndKnown && living > 0));          /* S6: an end is final */
  living = 0;
  f = 0
}

inline barOldKeys() {
#ifdef MUTANT_BARS_LAST_KEY_ALONE
  barred[f] = true
#else
  b = 0;
  do
  :: b < KEYS -> if :: at[b] == marker -> barred[b] = true :: else fi; b++
  :: else -> break
  od;
  b = 0
#endif
}

inline apply(kind, op, to) {
  applied[op]++;
  assert(applied[op] == 1);                     /* S17: once */
  isRemembered[op] = true;
  if
  :: kind == update -> count = expected + 1
  :: kind == renew || kind == login ->
     at[to] = record;
#ifndef MUTANT_OLD_KEY_LIVES
     at[f] = marker;
#endif
     next[f] = to;
#ifdef MUTANT_FORGETS_ON_RENEWAL
     b = 0;
     do :: b < OPERATIONS -> isRemembered[b] = false; b++ :: else -> break od;
     b = 0;
#endif
     if
     :: kind == login ->
        user = _pid + 1;
#ifndef MUTANT_NO_BAR
        barOldKeys();
#endif
     :: else
     fi
  :: kind == create -> at[0] = record
  :: else
  fi;
  answer = saved
}

/* By the user whom the client saw when it loaded, or made since. */
inline execute(kind, k, op, to, as) {
  atomic {
    follow(k);
    if
    :: kind == destroy ->
#ifdef MUTANT_END_STOPS_AT_MARKER
       f = k;
#endif
       if
#ifndef MUTANT_FORGETS_END
       /* A repeat gets the first result. */
       :: isRemembered[op] && endedBy == op -> answer = saved
       :: isRemembered[op] && endedBy != op -> answer = none
#endif
#ifdef MUTANT_TELLS_EVERYBODY
       :: !isRemembered[op] && at[f] == nothing && endedBy != 0 -> answer = saved
#endif
       :: !isRemembered[op] && at[f] == record ->
          at[f] = nothing;
          endedBy = op;
          isRemembered[op] = true;
          answer = saved;
          isMine = true
       :: else -> answer = none; isRemembered[op] = true
       fi
#ifndef MUTANT_FORGETS
    :: kind != destroy && isRemembered[op] -> answer = saved
#endif
    :: else ->
       if
       :: kind == create && at[f] == record -> answer = taken
       :: kind == create && at[f] != record -> apply(kind, op, to)
#ifdef MUTANT_REVIVES
       :: kind == set && at[f] == nothing -> at[f] = record; answer = saved
       :: kind != create && kind != set && at[f] == nothing -> answer = gone
#else
       :: kind != create && at[f] == nothing -> answer = gone
#endif
#ifndef MUTANT_RENEWS_BY_OLD_KEY
       :: at[f] == record && f != k && (kind == renew || kind == login) -> answer = renewed
#endif
       :: at[f] == record && f != k && barred[k] && (kind == set || kind == update) -> answer = renewed
#ifndef MUTANT_NO_EXPECTATION
       :: at[f] == record && !(f != k && barred[k]) && kind == update && count != expected ->
#ifdef MUTANT_TELLS_OLD_KEY
          answer = conflict;
#else
          if :: f != k -> answer = renewed :: else -> answer = conflict fi;
#endif
          assert(!(answer == conflict && f != k));  /* S19: nothing of the successor */
          seen = count
#endif
       :: else ->
          assert(kind == create || kind == renew || kind == login || user == as);  /* S19 */
          apply(kind, op, to)
       fi
    fi;
#ifdef TRACE
    printf("CALL %e %d %d %d %d %e\n", kind, k, op, expected, to, answer);
#endif
    look()
  }
}

inline ask(kind, k, op, to, as) {
  sent = 0;
  do
  :: execute(kind, k, op, to, as);
     if
     :: sent < RESENDS -> sent++                /* its answer is lost: it comes again, later */
     :: break
     fi
  od
}

inline countOnce(k, op) {
  tries = 0;
  do
  :: tries < TRIES ->
     expected = seen;
     ask(update, k, op + tries, 0, me);
     expected = 0;
     tries++;
     if
     :: answer == saved -> counted++; break
     :: answer == conflict
     :: else -> break
     fi
  :: else -> break
  od;
  tries = 0
}

inline end(k, operation) {
  isMine = false;
  ask(destroy, k, operation, 0, me);
  atomic {
    isEndKnown = true;
    assert(isMine == (answer == saved));        /* S17: who ended it is told so, and nobody else */
    look()
  }
}

proctype client(byte i) {
  mtype answer = none;
  byte f, b, living, seen, expected, sent, tries, me, op, own;
  bool isMine;
  op = 1 + 4 * i;
  own = 1 + 2 * i;
  atomic {
    /* Load: a renewed key gives nothing. */
    if
    :: at[0] == record -> seen = count; me = user
    :: else -> goto over
    fi
  };
  if
  :: countOnce(0, op)
  :: ask(set, 0, op, 0, me)
  :: end(0, op)
  :: ask(login, 0, op, own, me)
  :: ask(renew, 0, op, own, me);
     if
     :: answer == saved ->
        /* What it renewed it goes on with, by the new key. */
        if
        :: ask(set, own, op + 2, 0, me)
        :: countOnce(own, op + 2)
        :: ask(login, own, op + 2, own + 1, me)
        :: end(own, op + 2)
        :: skip
        fi
     :: answer != saved -> ask(set, 0, op + 2, 0, me)
     fi
  fi;
over:
  done++
}

init {
  mtype answer = none;
  byte f, b, living, seen, expected, i;
  bool isMine;
  atomic {
    i = 0;
    do :: i < KEYS -> at[i] = nothing; i++ :: else -> break od
  };
  execute(create, 0, 0, 0, 0);
  atomic {
    i = 0;
    do :: i < CLIENTS -> run client(i); i++ :: else -> break od
  };
  if
  :: execute(create, 0, 0, 0, 0)                /* its answer was lost */
  :: skip
  fi;
  done == CLIENTS;
  look();
  assert(endedBy != 0 || count == counted)        /* S5: every update counts, once */
}
