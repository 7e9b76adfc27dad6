//! One world for long, in virtual time: thousands of kills, stalls, restarts and adoptions, and
//! nothing may grow.
