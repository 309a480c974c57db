// Package metrics counts what a server does and answers the programs that look
// after it: Prometheus, and whoever asks whether the server lives and is ready.
//
// A [Set] holds counters, which only grow, histograms of how long something took,
// and gauges, which are read from the rooms of the server at the moment somebody
// asks (a scrape). Names follow the conventions of Prometheus: a prefix, a base unit
// (seconds, bytes), _total for what only grows; a moment is told in seconds since
// 1970, so that whoever reads it computes an age by a clock of their own.
//
// Labels have few values, which all are words of this program's own vocabularies:
// never an address, a domain, the name of an agent or an id. That is held here and
// not hoped for: what does not look like such a word, or would be one too many,
// counts as "other" ([Counters]). Whoever may scrape learns how much happens on this
// server, and nothing about whose mail it is.
//
// A [Door] answers over plain HTTP, on a listener of its own that is off until the
// configuration opens it. Beside the numbers it says in one line whether the process
// lives and whether it takes mail, and nothing of why not.
package metrics
