// Connections: the sockets of clients, each with a time until which it is listened to.
#ifndef KONTEXT_SERVE_CONNECTIONS_H_
#define KONTEXT_SERVE_CONNECTIONS_H_

#include <Poco/Net/HTTPServerParams.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/Net/StreamSocket.h>
#include <Poco/Net/TCPServerConnectionFactory.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

namespace kontext::serve {

// POCO's own server bounds silence only: a client that sends a byte now and then holds a thread for
// as long as it likes. Here a thread of its own ends what is late.
class Connections {
 public:
  Connections();
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // One connection's place in the list, for as long as it lives.
  class Place {
   public:
    Place(Connections& all, const Poco::Net::StreamSocket& socket);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    // From now on so many seconds; 0: without an end.
    void Give(double seconds);
    bool Ended() const;  // by the client

   private:
    friend class Connections;
    Connections& all_;
    Poco::Net::StreamSocket socket_;
    double until_ = 0;  // steady seconds; 0: without an end
  };

  void EndAll();  // also those that come later

 private:
  void Watch();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::set<Place*> places_;
  bool ending_ = false, gone_ = false;
  std::thread watcher_;
};

using HandleRequest = std::function<void(Poco::Net::HTTPServerRequest&,
                                         Poco::Net::HTTPServerResponse&, Connections::Place&)>;

// Reads the requests of each connection and gives them to `handle`, which does not throw.
Poco::Net::TCPServerConnectionFactory::Ptr ServeHttp(Connections& connections,
                                                     Poco::Net::HTTPServerParams::Ptr parameters,
                                                     HandleRequest handle);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_CONNECTIONS_H_
