package dkim

import "time"

// Margin is kept on top of the time for which a message may be under way, before
// the record of its key may go: a message may wait in a second queue behind the
// first, people's programs verify when they fetch, and clocks differ.
const Margin = 48 * time.Hour

// Keep is how long the record of a key stays after its last signature, when
// servers try to deliver a message for as long as life. We sign at each attempt, so
// it is not our queue that must be waited for, but those behind it; they try 4 to 5
// days (RFC 5321, section 4.5.4.1), as ours does.
func Keep(life time.Duration) time.Duration { return life + Margin }

// Times of the caches that stand between a record and who verifies with it.
const (
	// Settle is waited after a record was first seen, where nobody said how long an
	// answer from before may be kept: the TTL that our own zones have.
	Settle = time.Hour
	// MaxSettle bounds what a zone may say: RFC 2308, section 5 calls a negative TTL
	// of more than a day a problem.
	MaxSettle = 24 * time.Hour
)

// Sighting says what the last look at the DNS showed of a key's record.
type Sighting uint8

// The sightings.
const (
	Unknown Sighting = iota // nobody could be asked, or nobody was
	Absent                  // it is not there, or not everywhere, or another one is
	Visible                 // all authoritative servers and the resolver show it
)

// Stage is a key as its rotation sees it.
type Stage struct {
	State State
	Since time.Time     // when it came into the state
	Stale time.Duration // of a published one: how long caches may hold what was there before
	Seen  Sighting      // of a prepared or published one
}

// Terms are what a rotation obeys.
type Terms struct {
	Every time.Duration // how long a key signs before its successor is made; zero: until a person asks
	Life  time.Duration // how long servers try to deliver a message
	// Free is from when a new key has a selector; the zero time is always.
	Free time.Time
	// Alone: the domain has no key of another algorithm that signs.
	Alone bool
}

// Step is what happens to a key next.
type Step string

// The steps.
const (
	StepWait     Step = "wait"
	StepPrepare  Step = "prepare"  // make the next key
	StepPublish  Step = "publish"  // prepared → published
	StepWithdraw Step = "withdraw" // published → prepared: the record is gone again
	StepSign     Step = "sign"     // published → signing, and what signed until now → retiring
	StepRetire   Step = "retire"   // retiring, revoked → retired
)

// Awaited is what a rotation waits for.
type Awaited string

// What may be awaited.
const (
	AwaitNothing  Awaited = ""         // only a person moves it on
	AwaitRecord   Awaited = "record"   // that the record is seen in the DNS
	AwaitCaches   Awaited = "caches"   // that nobody holds any more what was there before
	AwaitAge      Awaited = "age"      // that the key that signs is old enough
	AwaitMail     Awaited = "mail"     // that mail under way has arrived
	AwaitSelector Awaited = "selector" // that one of the fixed selectors is free
)

// Move is the next step of a rotation.
type Move struct {
	Step   Step
	Key    int       // the key that takes the step; of StepPrepare, and where none waits, -1
	Awaits Awaited   // of StepWait
	At     time.Time // of StepWait: when to look again; zero: never by itself
}

// Next decides the next step for the keys of one algorithm of a domain, in the
// order of their creation. It is a pure function; who carries a step out asks
// again, until it says to wait. In the order in which it decides:
//
//   - A domain that signs with nothing takes its newest key as it is: a signature
//     that cannot be verified counts as none (RFC 6376, section 6.1), so it is never
//     worse than none, and waiting would hold mail up.
//   - A prepared key whose record is Visible is published; a published one whose
//     record is Absent is prepared again.
//   - A published key signs once its record is seen and nobody can hold an older
//     answer any more; what signed until then retires. So no message is signed with a
//     key that its recipient cannot find.
//   - A key that retires, or was revoked, is retired after [Keep].
//   - A key that has signed for Every gets a successor, unless it has one. The old
//     one goes on signing until the new one may, however long that takes.
func Next(now time.Time, keys []Stage, t Terms) Move {
	signing, next := -1, -1
	for i, k := range keys {
		switch k.State {
		case Signing:
			signing = i
		case Prepared, Published:
			if next < 0 || k.State == Published || keys[next].State == Prepared {
				next = i
			}
		}
	}
	if signing < 0 && t.Alone {
		if next < 0 {
			return prepare(now, t)
		}
		return Move{Step: StepSign, Key: next}
	}
	wait := Move{Step: StepWait, Key: -1}
	if next >= 0 {
		m := succeed(now, keys[next], next)
		if m.Step != StepWait {
			return m
		}
		wait = m
	}
	for i, k := range keys {
		if k.State != Retiring && k.State != Revoked {
			continue
		}
		end := k.Since.Add(Keep(t.Life))
		if !now.Before(end) {
			return Move{Step: StepRetire, Key: i}
		}
		wait = wait.orSooner(Move{Step: StepWait, Key: i, Awaits: AwaitMail, At: end})
	}
	if next >= 0 || signing < 0 || t.Every <= 0 {
		return wait
	}
	old := keys[signing].Since.Add(t.Every)
	if now.Before(old) {
		return wait.orSooner(Move{Step: StepWait, Key: signing, Awaits: AwaitAge, At: old})
	}
	if m := prepare(now, t); m.Step != StepWait {
		return m
	}
	return wait.orSooner(prepare(now, t))
}

// prepare makes a key, if there is a selector for it.
func prepare(now time.Time, t Terms) Move {
	if now.Before(t.Free) {
		return Move{Step: StepWait, Key: -1, Awaits: AwaitSelector, At: t.Free}
	}
	return Move{Step: StepPrepare, Key: -1}
}

// succeed moves a key towards signing.
func succeed(now time.Time, k Stage, i int) Move {
	look := Move{Step: StepWait, Key: i, Awaits: AwaitRecord, At: now.Add(lookAgain(now.Sub(k.Since)))}
	switch {
	case k.State == Prepared && k.Seen == Visible:
		return Move{Step: StepPublish, Key: i}
	case k.State == Prepared:
		return look
	case k.Seen == Absent:
		return Move{Step: StepWithdraw, Key: i}
	case now.Before(k.Since.Add(k.Stale)):
		return Move{Step: StepWait, Key: i, Awaits: AwaitCaches, At: k.Since.Add(k.Stale)}
	case k.Seen == Visible:
		return Move{Step: StepSign, Key: i}
	}
	return look // nobody could say that the record is still there
}

// orSooner is the wait that ends first.
func (m Move) orSooner(o Move) Move {
	if m.At.IsZero() || o.At.Before(m.At) {
		return o
	}
	return m
}

// lookAgain is how long to wait before the next look at the DNS: short while
// somebody may be at it, and then less and less.
func lookAgain(since time.Duration) time.Duration {
	switch {
	case since < 10*time.Minute:
		return 10 * time.Second
	case since < 2*time.Hour:
		return time.Minute
	case since < 7*24*time.Hour:
		return time.Hour
	}
	return 24 * time.Hour
}
