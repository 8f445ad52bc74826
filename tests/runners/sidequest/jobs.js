// The jobs of app.js: a worker loads them from here. The id of each that succeeds goes to the file NOTES.
import { appendFileSync, existsSync } from 'node:fs';
import { Job } from 'sidequest';

export class Steady extends Job {
  constructor(tone) {
    super();
    this.tone = tone;
  }

  run(note) {
    appendFileSync(process.env.NOTES, `${this.id}\n`);
    return { note, tone: this.tone };
  }
}

// Fails as long as what it needs is missing.
export class Flaky extends Steady {
  run(note) {
    if (!existsSync(process.env.NEEDED)) throw new Error('what I need is missing');
    return super.run(note);
  }
}
