package storage

import (
	"errors"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// received begins the journey of a message.
func (h *hourly) received(e *audit.Event) error {
	h.add(e, CountReceived, 1)
	j := Journey{Sender: ParseSender(e.Fields.Text(audit.KeySender)), Judged: judgedAs(e)}
	if j.Judged == JudgedKept {
		j.Outcome = OutcomeKept
		h.add(e, CountKept, 1)
	}
	h.add(e, j.counted(), 1)
	uid, _ := e.Fields.Int(audit.KeyUID)
	return h.u.beginJourney(e, uid, j)
}

// beginJourney notes a message that has come.
func (u *Upkeep) beginJourney(e *audit.Event, uid int64, j Journey) error {
	return u.tx.exec(`INSERT INTO journey (inbox, message, org, hour, mailbox, uid, agent, path) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (inbox, message) DO NOTHING`,
		e.Inbox[:], e.Object[:], e.Org[:], HourOf(e.Time), e.Mailbox[:], uid, uuid.Nil[:], int(j.counted()))
}

// judgedAs is what the verdict on a received message came to. One that was put away
// has a record in quarantine, which its event accounts for.
func judgedAs(e *audit.Event) Judged {
	for _, w := range e.Writes {
		if w.Table == "quarantine" {
			return JudgedKept
		}
	}
	switch e.Fields.Text(audit.KeyVerdict) {
	case Clean.String():
		return JudgedClean
	case Suspicious.String(), Quarantine.String(): // the latter was let in, as policy or an exception says
		return JudgedSuspicious
	}
	return JudgedNot
}

// shown counts what an agent was shown, and notes the agent with those messages that
// it was the first to see.
func (h *hourly) shown(e *audit.Event) error {
	if e.Agent == uuid.Nil {
		return nil
	}
	n, _ := e.Fields.Int(audit.KeyCount)
	h.add(e, CountShown, n)
	uids, _ := e.Fields.UIDs(audit.KeyUIDs)
	for _, r := range uids {
		first, err := h.unseen(e.Mailbox, r)
		if err != nil {
			return err
		}
		for _, s := range first {
			h.sums[hourlyKey{e.Org, e.Agent, s.Hour, s.What}] += s.N
			h.sums[hourlyKey{e.Org, e.Agent, s.Hour, CountReceived}] += s.N
			h.sums[hourlyKey{e.Org, uuid.Nil, s.Hour, s.What - firstJourney + firstSeen}] += s.N
		}
		if len(first) == 0 {
			continue
		}
		if err := h.u.seeJourneys(e.Agent, e.Mailbox, r); err != nil {
			return err
		}
	}
	return nil
}

// seeJourneys notes the agent that was the first to be shown messages.
func (u *Upkeep) seeJourneys(agent, mailbox uuid.UUID, r audit.UIDRange) error {
	return u.tx.exec("UPDATE journey SET agent = $1 WHERE mailbox = $2 AND uid >= $3 AND uid <= $4 AND agent = $5",
		agent[:], mailbox[:], r.First, r.Last, uuid.Nil[:])
}

// unseen are messages that no agent was shown, by hour and journey.
func (h *hourly) unseen(mailbox uuid.UUID, r audit.UIDRange) (all []HourCount, err error) {
	rows, err := h.u.tx.rows(`SELECT hour, path, COUNT(*) FROM journey
		WHERE mailbox = $1 AND uid >= $2 AND uid <= $3 AND agent = $4 GROUP BY hour, path`, mailbox[:], r.First, r.Last, uuid.Nil[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c HourCount
		if err := rows.Scan(&c.Hour, &c.What, &c.N); err != nil {
			return nil, classify(err)
		}
		all = append(all, c)
	}
	return all, classify(rows.Err())
}

// moved follows messages to where they were moved. One that was let out of quarantine
// is delivered from now on.
func (h *hourly) moved(e *audit.Event) error {
	from, _ := e.Fields.UIDs(audit.KeyUIDs)
	to, _ := e.Fields.UIDs(audit.KeyToUIDs)
	mailbox, ok := e.Fields.ID(audit.KeyToMailbox)
	if !ok || from.Count() != to.Count() {
		return nil
	}
	source, target := numbersOf(from), numbersOf(to)
	for i := range source {
		if e.Verb == audit.QuarantineRelease {
			if err := h.turn(e, OutcomeDelivered, "mailbox = $1 AND uid = $2", e.Mailbox[:], source[i]); err != nil {
				return err
			}
		}
		if err := h.u.moveJourney(e.Mailbox, source[i], mailbox, target[i]); err != nil {
			return err
		}
	}
	return nil
}

// numbersOf are the numbers of a set; those of a transfer are as many as an event has room for.
func numbersOf(set audit.UIDs) (all []uint32) {
	for _, r := range set {
		for uid := uint64(r.First); uid <= uint64(r.Last) && len(all) < FollowStep*FollowStep; uid++ {
			all = append(all, uint32(uid))
		}
	}
	return all
}

// moveJourney notes where a message stands now.
func (u *Upkeep) moveJourney(from uuid.UUID, uid uint32, to uuid.UUID, becomes uint32) error {
	return u.tx.exec("UPDATE journey SET mailbox = $1, uid = $2 WHERE mailbox = $3 AND uid = $4", to[:], becomes, from[:], uid)
}

// answered notes the answer to a message.
func (h *hourly) answered(e *audit.Event, message uuid.UUID, outcome Outcome) error {
	if err := h.turn(e, outcome, "inbox = $1 AND message = $2", e.Inbox[:], message[:]); err != nil {
		return err
	}
	return h.u.answerJourney(e.Inbox, message, e.Object)
}

// answerJourney notes which message answers one that came.
func (u *Upkeep) answerJourney(inbox, message, answer uuid.UUID) error {
	return u.tx.exec("UPDATE journey SET answer = $1 WHERE inbox = $2 AND message = $3", answer[:], inbox[:], message[:])
}

// released notes that an answer that waited went out.
func (h *hourly) released(e *audit.Event) error {
	return h.turn(e, OutcomeAnswered, "answer = $1", e.Object[:])
}

// turn changes what became of a message, in the hour in which it came. An answer that
// went out stays one, whatever follows.
func (h *hourly) turn(e *audit.Event, to Outcome, where string, args ...any) error {
	var inbox, message, agent uuid.UUID
	var hour int64
	var path Counted
	err := found(h.u.tx.row("SELECT inbox, message, agent, hour, path FROM journey WHERE "+where, args...).Scan(&inbox, &message, &agent, &hour, &path))
	if errors.Is(err, ErrNotFound) {
		return nil // long ago, or none that was received
	}
	if err != nil {
		return err
	}
	j, _, ok := path.Journey()
	if !ok || j.Outcome == to || j.Outcome == OutcomeAnswered {
		return nil
	}
	j.Outcome = to
	h.instead(hourlyKey{e.Org, uuid.Nil, hour, path}, j.counted())
	if agent != uuid.Nil {
		h.instead(hourlyKey{e.Org, agent, hour, path}, j.counted())
		h.instead(hourlyKey{e.Org, uuid.Nil, hour, path - firstJourney + firstSeen}, j.counted()-firstJourney+firstSeen)
	}
	return h.u.turnJourney(inbox, message, j)
}

// turnJourney notes another way that a message has gone.
func (u *Upkeep) turnJourney(inbox, message uuid.UUID, j Journey) error {
	return u.tx.exec("UPDATE journey SET path = $1 WHERE inbox = $2 AND message = $3", int(j.counted()), inbox[:], message[:])
}

// instead counts one as something else.
func (h *hourly) instead(k hourlyKey, what Counted) {
	h.sums[k]--
	k.what = what
	h.sums[k]++
}
