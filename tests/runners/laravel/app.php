<?php
// An application on Laravel's queue, of Debian's packages. `php app.php schema` makes its tables, of Laravel's own
// templates; `php app.php push '["flaky", …]'` queues a job, `'["flaky", …, {"encrypted": true, …}]'` one that is special;
// `php app.php work SECONDS` is a worker that sleeps so long when there is nothing to do. It works on STORE, a file or a
// URL. The uuid of each job that succeeds goes to the file NOTES.

// Laravel 8 is older than the PHP that Debian has.
error_reporting(E_ALL & ~E_DEPRECATED);
require_once 'Illuminate/Queue/autoload.php';
require_once 'Illuminate/Bus/autoload.php';
require_once 'Illuminate/Encryption/autoload.php';
require_once 'Illuminate/Events/autoload.php';

use Illuminate\Bus\Batchable;
use Illuminate\Bus\Queueable;
use Illuminate\Container\Container;
use Illuminate\Contracts\Bus\Dispatcher as Bus;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Encryption\Encrypter as Encryption;
use Illuminate\Database\Capsule\Manager as Database;
use Illuminate\Encryption\Encrypter;
use Illuminate\Contracts\Events\Dispatcher as Events;
use Illuminate\Events\Dispatcher;
use Illuminate\Queue\Capsule\Manager as Queue;
use Illuminate\Queue\Events\JobFailed;
use Illuminate\Queue\Failed\DatabaseUuidFailedJobProvider;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Queue\Worker;
use Illuminate\Queue\WorkerOptions;
use Illuminate\Support\Facades\Facade;

abstract class Job
{
    use Batchable, InteractsWithQueue, Queueable;

    // Serialized, what is not public has NULs in its name.
    protected $note;
    public $retryUntil;
    public $shouldBeEncrypted = false;

    public function __construct($note)
    {
        $this->note = $note;
    }

    public function with(array $special)
    {
        $this->shouldBeEncrypted = $special['encrypted'] ?? false;
        $this->retryUntil = $special['retryUntil'] ?? null;
        $this->batchId = $special['batchId'] ?? null;
        return $this;
    }

    public function handle()
    {
        file_put_contents(getenv('NOTES'), $this->job->uuid() . "\n", FILE_APPEND);
    }
}

class Steady extends Job
{
}

// Fails as long as what it needs is missing.
class Flaky extends Job
{
    public function handle()
    {
        if (! file_exists(getenv('NEEDED'))) {
            throw new RuntimeException('what I need is missing');
        }
        parent::handle();
    }
}

// As `'transaction_mode' => 'IMMEDIATE'` has it in later versions. A deferred transaction fails when somebody else has written
// between its SELECT and its UPDATE, and leaves a job behind that is done, and is done once more a minute later.
class Immediate extends PDO
{
    public function beginTransaction(): bool
    {
        return $this->exec('BEGIN IMMEDIATE') !== false;
    }

    public function commit(): bool
    {
        return $this->exec('COMMIT') !== false;
    }

    public function rollBack(): bool
    {
        return $this->exec('ROLLBACK') !== false;
    }
}

// What goes wrong in a job is in failed_jobs; what goes wrong with the worker itself is printed.
class Reports implements ExceptionHandler
{
    public function report(Throwable $e)
    {
        fwrite(STDERR, $e->getMessage() . "\n");
    }

    public function shouldReport(Throwable $e)
    {
        return true;
    }

    public function render($request, Throwable $e)
    {
    }

    public function renderForConsole($output, Throwable $e)
    {
    }
}

$app = new Container;
Container::setInstance($app);
$app->instance(Illuminate\Contracts\Container\Container::class, $app);
Facade::setFacadeApplication($app);

$database = new Database($app);
$url = parse_url(getenv('STORE'));
$database->addConnection(isset($url['scheme']) ? [
    'driver' => 'pgsql', 'host' => $url['host'], 'port' => $url['port'], 'username' => $url['user'], 'password' => '',
    'database' => trim($url['path'], '/'), 'charset' => 'utf8', 'application_name' => 'app',
] : ['driver' => 'sqlite', 'database' => getenv('STORE')]);
if (! isset($url['scheme'])) {
    $database->getConnection()->setPdo(new Immediate('sqlite:' . getenv('STORE')));
}
$app->instance('db', $database->getDatabaseManager());
$events = new Dispatcher($app);
$app->instance('events', $events);
$app->alias('events', Events::class);
$app->singleton(Bus::class, fn () => new Illuminate\Bus\Dispatcher($app));
$app->singleton(Encryption::class, fn () => new Encrypter(str_repeat('k', 32), 'AES-256-CBC'));
$queue = new Queue($app);
$connection = getenv('CONNECTION') ?: 'database';
$queue->addConnection(['driver' => 'database', 'table' => 'jobs', 'queue' => 'default', 'retry_after' => 90, 'connection' => null], $connection);
$failed = new DatabaseUuidFailedJobProvider($app['db'], null, 'failed_jobs');

switch ($argv[1]) {
case 'schema':
    foreach (['jobs' => 'Jobs', 'failed_jobs' => 'FailedJobs'] as $table => $class) {
        $template = file_get_contents("/usr/share/php/Illuminate/Queue/Console/stubs/$table.stub");
        eval(str_replace(['<?php', '{{tableClassName}}', '{{table}}'], ['', $class, $table], $template));
        (new ("Create{$class}Table"))->up();
    }
    break;
case 'push':
    [$class, $note, $special] = json_decode($argv[2], true) + [2 => []];
    $class = ucfirst($class);
    $queue->getConnection($connection)->push((new $class($note))->with($special));
    break;
case 'work':
    // As `queue:work` does it.
    $events->listen(JobFailed::class, fn ($event) => $failed->log(
        $event->job->getConnectionName(), $event->job->getQueue(), $event->job->getRawBody(), $event->exception
    ));
    $worker = new Worker($queue->getQueueManager(), $events, new Reports, fn () => false);
    echo "working\n";
    exit($worker->daemon($connection, 'default', new WorkerOptions('default', 0, 128, 60, (float) $argv[2], (int) (getenv('TRIES') ?: 1))));
}
