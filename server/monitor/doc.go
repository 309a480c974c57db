// Package monitor notices when an agent is not itself. It follows the audit log,
// off every path that answers somebody, keeps what each agent usually does, and
// raises an alert when it does something else: it sends, passes on or writes to
// strangers far more than it used to, comes from a network or at an hour of the
// week from which it never came, is in two networks at once, or tries a token
// that was rotated out. // PI-7, AC-1
//
// There are two followers. [Monitor.Watch] reads what agents did and raises
// alerts; [Monitor.React] reads that alerts were raised, whoever raised them, and
// does what policy says: freezes the agent at once, writes mail, tells webhooks.
// Each has a cursor into the log that moves in the transaction of what it did, so
// that nothing is done twice or forgotten, whenever the process ends. Beside them
// [Monitor.Remind] looks, every few minutes, for messages that have waited for
// people for half of their time.
//
// # What is a spike
//
// A rate is counted over sliding sixty minutes, and rings above
//
//	max(floor, μ + 4σ, 2·peak)
//
// μ and σ are the exponentially weighted mean and deviation of whole hours with a
// half-life of a week: a control chart (S. W. Roberts, "Control chart tests based
// on geometric moving averages", Technometrics 1 (1959); NIST/SEMATECH e-Handbook
// of Statistical Methods, 6.3.2.4), with the incremental variance of D. H. D.
// West, Communications of the ACM 22 (1979). Mail comes in bursts, which the mean
// of hours hides: a digest of a hundred messages each Monday has μ = 0.6 and
// σ = 7.7. Therefore the peak, the most in any sixty minutes, with a half-life of
// 45 days, so that what happens once a month does not ring. The floor keeps an
// agent that does little from ringing over little. What rang becomes the peak:
// one that changed for good rings once, and again only when it has doubled.
//
// # What is odd
//
// Of hours of the week, and of networks, the question is how likely something
// never seen is, for this agent. That is estimated by Good and Turing's formula:
// the number of kinds that were seen once, over the number of observations
// (I. J. Good, "The population frequencies of species", Biometrika 40 (1953)). An
// agent that comes from anywhere, at any time, is expected to surprise and never
// rings; one that works from nine to five from one network rings at the first
// exception.
//
// An agent has a week of learning, with activity on three days at the least,
// before any of this rings. Simultaneous networks and tokens after rotation need
// no baseline and ring from the first day.
package monitor
