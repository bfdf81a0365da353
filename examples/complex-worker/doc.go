// Command complex-worker is a Skalds worker with several stages: sub-tasks with a duration, a chance to fail and retries of
// their own, and a feature that a task switches on. What is done is not done again by the next attempt. A host starts it
// once per task; `complex-worker run --attachments @job.yml` runs it alone.
package main
