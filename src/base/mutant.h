/* mutant.h - planted bugs. MUTANT(name, good, bad) is `good`, an ordinary expression, in every
 * program but parley-sim-mutants, where one bug at a time may be switched on, to see whether the
 * simulator finds it (tests/sim/mutants.def says what each does). */
#ifndef PARLEY_BASE_MUTANT_H
#define PARLEY_BASE_MUTANT_H

#ifdef PARLEY_MUTANTS
enum mutant {
    MUTANT_NONE,
#define MUTANT_DEF(name, by, what) MUTANT_##name,
#include "mutants.def"
#undef MUTANT_DEF
};
extern enum mutant mutant_planted;
#define MUTANT(name, good, bad) (mutant_planted == MUTANT_##name ? (bad) : (good))
#else
#define MUTANT(name, good, bad) (good)
#endif

#endif
