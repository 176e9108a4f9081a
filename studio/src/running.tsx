// What waits and runs, wherever one is: from the line at the top.
import { Button, Popover } from './parts';
import { cancel, jobKey, jobs, pane, select } from './store';
import type { Job } from './store';
import { duration } from './words';

export function progressWords(job: Job): string {
  const left = job.progress?.seconds_left ?? 0;
  if (job.progress?.stage === 'steps') return `${job.progress.step} of ${job.progress.steps}${left > 0 ? ` · ${duration(left)} left` : ''}`;
  if (job.progress) return { prompt: 'Reading the prompt', references: 'Looking at the picture', decode: 'Finishing', done: 'Done', review: 'Waits for a reviewer', disk: 'Waits for the disk', steps: '' }[job.progress.stage];
  return job.position ? `${job.position} in front` : 'Waiting';
}

export function Running() {
  const all = jobs.value;
  if (!all.length) return null;
  return (
    <Popover label="Edits under way" align="end" button={(open, toggle) => (
      <button type="button" class="button quiet running" aria-expanded={open} onClick={toggle}><span>{all.length} under way</span></button>
    )}>
      {close => (
        <div class="running-list">
          <ul>
            {all.map(job => (
              <li key={job.edit.id}>
                <button type="button" class="project-open" onClick={() => { close(); pane.value = 'picture'; select(jobKey(job.edit.id)); }}>
                  <span><strong>{job.edit.request.prompt}</strong><small>{progressWords(job)}</small></span>
                </button>
                <Button icon="stop" label={`Cancel ${job.edit.request.prompt}`} kind="quiet" onClick={() => void cancel(job)} />
              </li>
            ))}
          </ul>
          {all.length > 1 && <Button icon="stop" label="Cancel all" onClick={() => { close(); all.forEach(job => void cancel(job)); }}>Cancel all</Button>}
        </div>
      )}
    </Popover>
  );
}
