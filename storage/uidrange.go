package storage

// UIDRange is the UIDs from First to Last, both included.
type UIDRange struct{ First, Last uint32 }
