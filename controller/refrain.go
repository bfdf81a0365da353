package controller

import "sync"

// maxRefrains is of how many tasks it is known what was last said of them.
const maxRefrains = 1000

// refrain keeps the log from saying the same of a task again and again. The zero value is ready, and safe for concurrent use.
type refrain struct {
	mu   sync.Mutex        // guards said
	said map[string]string // by task
}

// isNew reports whether this was not the last thing that was said of a task.
func (r *refrain) isNew(taskID, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said[taskID] == text {
		return false
	}
	if r.said == nil || len(r.said) >= maxRefrains {
		r.said = map[string]string{}
	}
	r.said[taskID] = text
	return true
}

// over forgets what was said of a task; it reports whether anything was.
func (r *refrain) over(taskID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, said := r.said[taskID]
	delete(r.said, taskID)
	return said
}
