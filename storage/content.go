package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"

	"postern/storage/seal"
)

// Verdict is what the injection scorer said of a message when it came in.
type Verdict uint8

const (
	Unscored Verdict = iota
	Clean
	Suspicious
	Quarantine
	Partial // scored in part, because of its size or its defects
)

var verdictNames = [...]string{"unscored", "clean", "suspicious", "quarantine", "partial"}

// String is the word of header fields, events and commands.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Taints reports whether an agent that reads such a message is tainted: it may
// have been written to steer the agent. So may one that nobody could judge, or
// whoever makes the scorer fail gains by it. // PI-5
func (v Verdict) Taints() bool { return v != Clean }

// Origin is the door through which a message came.
type Origin uint8

const (
	OriginUnknown    Origin = iota
	OriginMX                // from outside, on port 25
	OriginSubmission        // from a credential of this server, for another inbox or as a sender's copy
	OriginAppend            // put there by a client, with APPEND
	OriginReport            // a delivery report (RFC 3464) that this server wrote
	OriginNotice            // another notice that this server wrote
)

// Content is what a message's row holds sealed, under a key of the inbox and
// bound to mailbox and UID. Nothing of it changes that IMAP shows (invariant 13);
// the verdict is that of the newest scoring.
type Content struct {
	Body      BodyRef // Key is set for Deposit alone, and zero in what Scan hands out: OpenBody unwraps it
	Structure []byte  // server/message's binary form; opaque here
	Overlay   []byte  // the frozen view of this copy: header block in front, hidden fields; opaque here
	Auth      []byte  // authentication results; opaque here
	Verdict   Verdict
	Score     float32
	Model     string
	SHA256    [32]byte // of the body's bytes
	MessageID string
	Origin    Origin
	Senders   [][]byte // of a message that taints: keyed hashes of who wrote it; for Deposit: see Deposit.Senders

	scorings uint64 // how often it was scored
	runs     []byte // the scorings that are kept, the oldest first, each behind its length: see Message.Scorings

	wrapped []byte // the body's key under the inbox's
	sealed  []byte // the body, if it was read along
}

// sealedContent is the plaintext of a content row: the content, and what the
// message's clear row says that must not be changed there.
//
//	1 origin verdict score(4) flags id(16) received size
//	body: no id(16) size wrapped key(60) SHA-256(32)
//	message id, model, auth, overlay, structure: each behind its length
//	senders, if there are any: their number, 16 bytes each
//
// In a version 2, which was scored, the number of senders is always there, and behind
// them how often it was scored, and the scorings, each behind its length.
//
// Numbers without a size are varints.
type sealedContent struct {
	id       uuid.UUID
	received int64
	size     int64
	server   Flags // the server's flags: at the time of deposit, or of the last scoring
	Content
}

// Versions of the stored form.
const (
	contentPlain  = 1
	contentScored = 2
)

// contentIdentity binds a content to its place. id is mailbox and UID, 20 bytes
// that are overwritten for each row of a scan.
func (in *Inbox) contentIdentity(id []byte) seal.Identity {
	return seal.Identity{Org: in.record.Org, Table: "message", ID: id}
}

func contentID(mailbox uuid.UUID, uid uint32) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 20), mailbox[:]...), uid)
}

func (in *Inbox) sealContent(plain []byte, mailbox uuid.UUID, uid uint32) []byte {
	return in.keys.metadata.Seal(plain, in.contentIdentity(contentID(mailbox, uid)))
}

func (c *sealedContent) append(b []byte) []byte {
	version := byte(contentPlain)
	if c.scorings > 0 {
		version = contentScored
	}
	b = append(b, version, byte(c.Origin), byte(c.Verdict))
	b = binary.BigEndian.AppendUint32(b, math.Float32bits(c.Score))
	b = binary.AppendUvarint(b, uint64(c.server))
	b = append(b, c.id[:]...)
	b = binary.AppendVarint(b, c.received)
	b = binary.AppendUvarint(b, uint64(c.size))
	b = binary.AppendUvarint(b, uint64(c.Body.No))
	b = append(b, c.Body.ID[:]...)
	b = binary.AppendUvarint(b, uint64(c.Body.Size))
	b = append(b, c.wrapped...)
	b = append(b, c.SHA256[:]...)
	b = binary.AppendUvarint(b, uint64(len(c.MessageID)))
	b = append(b, c.MessageID...)
	b = binary.AppendUvarint(b, uint64(len(c.Model)))
	b = append(b, c.Model...)
	for _, part := range [...][]byte{c.Auth, c.Overlay, c.Structure} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	if len(c.Senders) > 0 || version == contentScored {
		b = binary.AppendUvarint(b, uint64(len(c.Senders)))
		for _, hash := range c.Senders {
			b = append(b, hash...)
		}
	}
	if version == contentScored {
		b = binary.AppendUvarint(b, c.scorings)
		b = append(b, c.runs...)
	}
	return b
}

var errContent = errors.New("storage: not a content")

// decode reads what append wrote. Slices are those of b; a model that is the
// one of the content decoded before costs no memory.
func (c *sealedContent) decode(b []byte) error {
	d := decoder{b: b}
	version := d.take(1)
	if version == nil || version[0] != contentPlain && version[0] != contentScored {
		return fmt.Errorf("%w: version", errContent)
	}
	if head := d.take(6); head != nil {
		c.Origin, c.Verdict = Origin(head[0]), Verdict(head[1])
		c.Score = math.Float32frombits(binary.BigEndian.Uint32(head[2:]))
	}
	c.server = Flags(d.uvarint())
	copy(c.id[:], d.take(16))
	c.received = d.varint()
	c.size = int64(d.uvarint())
	c.Body = BodyRef{No: int64(d.uvarint())}
	copy(c.Body.ID[:], d.take(16))
	c.Body.Size = int64(d.uvarint())
	c.wrapped = d.take(seal.WrappedSize)
	copy(c.SHA256[:], d.take(32))
	c.MessageID = string(d.prefixed())
	if model := d.prefixed(); string(model) != c.Model {
		c.Model = string(model)
	}
	c.Auth, c.Overlay, c.Structure = d.prefixed(), d.prefixed(), d.prefixed()
	c.Senders = nil
	if len(d.b) > 0 {
		for n := min(d.uvarint(), maxSenders+1); n > 0; n-- {
			c.Senders = append(c.Senders, d.take(correspondentSize))
		}
	}
	c.scorings, c.runs = 0, nil
	if version[0] == contentScored {
		c.scorings = d.uvarint()
		c.runs = d.b
		for len(d.b) > 0 {
			d.prefixed()
		}
	}
	if d.failed || len(d.b) != 0 {
		return errContent
	}
	return nil
}

// decoder takes fields from the front; after the first that is not there it
// gives only zeros.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.b, d.failed = nil, true
		return nil
	}
	part := d.b[:n:n]
	d.b = d.b[n:]
	return part
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.failed = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.failed = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) prefixed() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.b, d.failed = nil, true
		return nil
	}
	return d.take(int(n))
}
