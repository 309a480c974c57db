package storage

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Counted is something of which it is known how often it happened in each hour, in
// an organization and to each of its agents. Numbers are stable: rows have them.
type Counted int

// What is counted.
const (
	CountReceived  Counted = 1  // messages that came into an inbox; of an agent: that was the first to be shown them
	CountSent      Counted = 2  // messages that went out, those that people let go among them
	CountKept      Counted = 3  // messages that were put into quarantine
	CountHeld      Counted = 4  // submitted messages that began to wait for people
	CountDecided   Counted = 5  // of these, those that wait no more: released, rejected, or too late
	CountRefused   Counted = 6  // messages that were refused to an agent, or to a stranger after their data
	CountGivenUp   Counted = 7  // recipients that failed for good
	CountFirstTime Counted = 8  // recipients to whom an inbox wrote for the first time
	CountShown     Counted = 9  // messages that agents were shown; one that is shown again counts again
	CountTainted   Counted = 10 // times that an agent was shown what may have been written to steer it
	CountEnqueued  Counted = 11 // recipients that came into the queue
	CountPutOff    Counted = 12 // of these, those whose first attempt did not succeed
	CountLeft      Counted = 13 // recipients that left the queue at the first attempt
	CountLeftLate  Counted = 14 // recipients that left the queue at a later one
	CountWaited    Counted = 15 // minutes for which messages waited for people, of those that were decided

	firstJourney Counted = 1000 // beyond: a Journey
	firstSeen    Counted = 2000 // beyond: of an organization, those that some agent was shown
)

// Journey is the way of a received message through the house.
type Journey struct {
	Sender  Sender
	Judged  Judged
	Outcome Outcome
}

// Sender is how well the sender of a message is known.
type Sender int

// The classes of senders. Who did not prove to be the domain in From is nobody's
// correspondent.
const (
	SenderUnproven Sender = iota // nothing proves the domain in From, and nothing says against it
	SenderKnown                  // proven, and mail went between it and the inbox before
	SenderOwn                    // an agent of this server
	SenderFirst                  // proven, and new to the inbox
	SenderFails                  // fails what its domain publishes (DMARC)
)

var senderNames = [...]string{"unproven", "known", "own", "first", "fails"}

// String is the word of events and commands.
func (s Sender) String() string { return senderNames[s] }

// ParseSender finds the class of a word; SenderUnproven where it is none.
func ParseSender(word string) Sender {
	for i, name := range senderNames {
		if name == word {
			return Sender(i)
		}
	}
	return SenderUnproven
}

// Judged is what the scorer's verdict came to.
type Judged int

// What verdicts come to.
const (
	JudgedClean      Judged = iota
	JudgedSuspicious        // let in, and marked
	JudgedKept              // put into quarantine
	JudgedNot               // let in, though nobody could judge it, or not all of it
)

var judgedNames = [...]string{"clean", "suspicious", "quarantined", "unscored"}

// String is the word of commands.
func (j Judged) String() string { return judgedNames[j] }

// Outcome is what became of a message so far.
type Outcome int

// What becomes of messages.
const (
	OutcomeDelivered  Outcome = iota // it is in a mailbox, and was not answered
	OutcomeAnswered                  // an answer went out
	OutcomeAnswerHeld                // an answer waits for people, or did and went nowhere
	OutcomeKept                      // it is in quarantine, or was deleted there
)

var outcomeNames = [...]string{"delivered", "answered", "answer-held", "kept"}

// String is the word of commands.
func (o Outcome) String() string { return outcomeNames[o] }

// counted is the number under which a journey is counted.
func (j Journey) counted() Counted {
	return firstJourney + Counted(j.Sender)*100 + Counted(j.Judged)*10 + Counted(j.Outcome)
}

// Journey says which one a number is of; seen, that it counts only those messages of an
// organization that some agent was shown.
func (c Counted) Journey() (j Journey, seen, ok bool) {
	n := int(c - firstJourney)
	if seen = c >= firstSeen; seen {
		n = int(c - firstSeen)
	}
	j = Journey{Sender(n / 100), Judged(n / 10 % 10), Outcome(n % 10)}
	return j, seen, n >= 0 && int(j.Sender) < len(senderNames) && int(j.Judged) < len(judgedNames) && int(j.Outcome) < len(outcomeNames)
}

// HourCount is how often something happened in an hour, since 1970 UTC.
type HourCount struct {
	Hour int64
	What Counted
	N    int64
}

// HourOf is the hour that a moment lies in.
func HourOf(t time.Time) int64 { return t.Unix() / 3600 }

// Hours are the counts of an agent, or of an organization where agent is zero, in the
// hours [from, to) and of these kinds; of all kinds where none is named. They say what
// the log said a moment ago, and are no evidence.
func (s *Store) Hours(ctx context.Context, org, agent uuid.UUID, from, to int64, what ...Counted) (all []HourCount, err error) {
	query := "SELECT hour, what, n FROM hourly WHERE org = $1 AND agent = $2 AND hour >= $3 AND hour < $4"
	args := []any{org[:], agent[:], from, to}
	if len(what) > 0 {
		var in []string
		for _, w := range what {
			args = append(args, int(w))
			in = append(in, fmt.Sprintf("$%d", len(args)))
		}
		query += " AND what IN (" + strings.Join(in, ", ") + ")"
	}
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c HourCount
			if err := rows.Scan(&c.Hour, &c.What, &c.N); err != nil {
				return classify(err)
			}
			all = append(all, c)
		}
		return classify(rows.Err())
	})
	return all, err
}

// Busiest are the agents that did most of something in some hour of [from, to): those
// that were among the first few of an hour, at most limit, first those that come to
// most. A burst is among them whatever the others did over the day.
func (s *Store) Busiest(ctx context.Context, org uuid.UUID, from, to int64, what Counted, limit int) (agents []uuid.UUID, err error) {
	sums := map[uuid.UUID]int64{}
	err = s.look(ctx, func(r *reads) error {
		for hour := from; hour < to; hour++ {
			if err := busiestOf(r, org, hour, what, limit+1, sums); err != nil { // the organization is one of them
				return err
			}
		}
		return nil
	})
	delete(sums, uuid.Nil)
	agents = slices.SortedFunc(maps.Keys(sums), func(a, b uuid.UUID) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), bytes.Compare(a[:], b[:]))
	})
	return agents[:min(limit, len(agents))], err
}

// busiestOf adds those of one hour.
func busiestOf(r *reads, org uuid.UUID, hour int64, what Counted, limit int, sums map[uuid.UUID]int64) error {
	rows, err := r.rows("SELECT agent, n FROM hourly WHERE org = $1 AND hour = $2 AND what = $3 AND n > 0 ORDER BY n DESC LIMIT $4",
		org[:], hour, int(what), limit)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var agent uuid.UUID
		var n int64
		if err := rows.Scan(&agent, &n); err != nil {
			return classify(err)
		}
		sums[agent] += n
	}
	return classify(rows.Err())
}
