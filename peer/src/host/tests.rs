//! A whole host on a real store, its members over real links. Everything is waited for, nothing is slept.

mod failing;
mod invisible;
mod joining;
mod leaving;
mod moderating;
mod outcomes;
mod pacing;
mod scene;
mod searching;
