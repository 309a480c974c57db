// Package policy decides. It is given facts and answers with a decision and the
// name of the rule that made it; it asks nobody, changes nothing and remembers
// nothing, so that every decision can be told again from the facts in its event.
//
// [Submit] is the one gate of outgoing mail: whatever makes a message and
// whichever door it comes through, it leaves by a yes of this function or it
// does not leave. [Admit] judges a message that arrived as a whole, and [Receive]
// decides where a copy of it goes, by the [Bands] of its inbox: into the inbox, marked
// or not, or where no agent sees it. It never refuses, since a reply that depends on a
// score would tell an attacker what passes.
//
// A rule is a word of a closed vocabulary with the reply that a peer gets for
// it. The reply names the class only; the word is for the log.
package policy
